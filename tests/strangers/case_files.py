"""Files that strangers have: nothing that is read is dropped, merged or renamed without being counted and reported."""
