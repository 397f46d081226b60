"""Errors, log, process, files: what every part of the project shares. Imports nothing of the project."""

VERSION = "0.1.0"
