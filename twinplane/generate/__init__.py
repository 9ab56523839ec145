"""Keys and certificates that a stack makes once and keeps in its state. Each module prints one and writes none."""
