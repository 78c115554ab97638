"""The review page: a person corrects the labels of a run, and what was decided goes into the next fit."""
