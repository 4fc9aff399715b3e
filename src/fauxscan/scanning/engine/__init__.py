"""The engine reads each file once, has it decoded, and judges it with all models."""
