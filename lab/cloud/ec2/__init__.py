"""EC2: instances that are hosts, their images, disks, routes and metadata."""
