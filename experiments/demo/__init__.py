"""One GAN on real images under several controllers at equal compute: ``python -m experiments.demo``."""
