"""Photographs as training pairs: lightness in, ab out.

sources    what is where: folders, tar shards, CIFAR-10; training and validation parts
overlap    whether two sets share a picture
screening  one pass over the pictures: damaged and grey ones
training_set  the three above together: what is trained on
crops, film   augmentation of place, degradation of lightness
pairs      a sample by its number, and which samples a step takes
"""
