"""Output for people: tables and progress in the terminal, figures and HTML pages."""
