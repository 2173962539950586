"""Files as data sets come in: folders, zips, tars, CSV, encoded images."""
