"""The protocol that tests heads on a frozen backbone on generators of fakes that they never saw."""
