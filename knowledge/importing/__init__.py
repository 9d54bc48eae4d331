"""A notice from a file: its text, layout, header, deadlines, figures and prohibitions."""
