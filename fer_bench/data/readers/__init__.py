"""One file for each format of data that FER Bench reads."""
