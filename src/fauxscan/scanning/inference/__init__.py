"""Forward passes: TensorFlow or OpenVINO, and the batches that reach them."""
