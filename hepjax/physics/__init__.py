"""What is measured on events of one kind, drawn and reported: pure array functions, no workload."""
