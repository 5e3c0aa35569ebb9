"""What a training's instruments say, in words: problem, evidence, advice."""
