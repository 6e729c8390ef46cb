"""The verbs of the command line, a file for each subject. A verb loads what it needs itself."""
