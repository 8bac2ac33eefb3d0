"""End-to-end taggers: convolutional networks on detector images of jets, photons and electrons."""
