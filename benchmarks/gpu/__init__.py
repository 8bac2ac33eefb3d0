"""What is measured on one GPU that is lent for minutes: the parts, their order and their limits."""
