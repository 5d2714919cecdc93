"""One run: its parts, its folder, training, the scores of every epoch, and the final evaluation."""
