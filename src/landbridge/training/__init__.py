"""Which parameters train in which epoch, with which learning rates, and what is measured on the way."""
