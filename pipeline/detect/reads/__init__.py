"""What people read of detection, one file an area, each with actor and scope: the CLI, the API and the console."""
