"""The REST interface: the deeds and reads of the console and the command line, for programs."""
