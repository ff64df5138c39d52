"""Graph encoders: data, operators, self-supervised methods and how they are judged.

from espalier import graph

data = graph.load("Cora")
method = graph.pretrain(data, graph.GraphMAEConfig(), epochs=200)
print(graph.probe(method.embed(data), data))
graph.save(method, "encoder")
"""
