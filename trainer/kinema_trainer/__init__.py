"""Make colorization models: data, networks, recipes, training, evaluation and export."""
