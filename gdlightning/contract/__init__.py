"""What every optimizer must do, and the programs that try it."""
