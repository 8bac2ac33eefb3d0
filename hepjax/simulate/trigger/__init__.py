"""Events of the trigger tasks: toys, jets, whole collisions, clusters of pixels."""
