"""What a command does with its terminal: it drops the noise of libraries and answers Ctrl-C at once."""
