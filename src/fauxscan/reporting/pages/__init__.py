"""What all pages share: one self-contained HTML file with styles, and tables that sort and filter."""
