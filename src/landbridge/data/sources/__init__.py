"""Functions that return a domain: digits, folders of images, files of vectors, data sets of torchvision."""
