"""One run: preparation, folder, training, scores of every epoch, and final evaluation."""
