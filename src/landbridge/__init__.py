"""landbridge carries what a model learned in one domain over to another, and says honestly whether that helped."""

__version__ = "0.1.0"
