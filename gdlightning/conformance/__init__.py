"""Requirements for every optimizer, and programs that test them."""
