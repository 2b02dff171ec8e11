"""The command `thapcanh`: one file a group of commands. They parse, call one use case, and show."""
