"""What each kind of stack is made of, what it reads, and what it exports."""
