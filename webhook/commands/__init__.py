"""Commands: what `watchmark` can be told to do. One file is one group of them."""
