"""The stage `split`: divide files into training, validation and test splits, and audit the result."""
