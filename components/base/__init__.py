"""What components of every folder use."""
