"""Functions that return a domain: digits, folders of images, files of vectors, and data sets of torchvision."""
