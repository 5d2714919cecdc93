"""Divide a model between its stages, with its traced forward pass and its own modules."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.fx import Graph, Node, Tracer
from torch.fx.graph import PythonCode

from landbridge.errors import LandbridgeError

#: Runs some stages of a backbone on all tensors that these stages need.
Segment = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
#: The same, but the arguments are the model and the single tensors.
Part = Callable[..., tuple[Tensor, ...]]


class CannotCut(LandbridgeError):  # noqa: N818 -- the name states the problem
    """A backbone cannot be run stage by stage."""


class Cut:
    """A model that can be run stage by stage.

    Args:
        model: takes one tensor and returns one tensor.
        stages: for each module, the stages of its parameters; without parameters, the stage of the module before it.
        stage_of_parameter: stage of each parameter, by name.
        last: number of stages.

    Raises:
        CannotCut: the forward pass cannot be traced.
    """

    def __init__(
        self,
        model: nn.Module,
        stages: Mapping[nn.Module, frozenset[int]],
        stage_of_parameter: Mapping[str, int],
        last: int,
    ) -> None:
        modes = {module: module.training for module in model.modules()}
        try:
            passes = [StageGraph(model.train(mode), stages, stage_of_parameter, last) for mode in (False, True)]
        except Exception as error:  # torch.fx raises errors of many classes when it traces a forward pass
            raise CannotCut(f"its forward pass cannot be traced ({error})") from error
        finally:
            for module, training in modes.items():
                module.training = training
        self.evaluating, self.training = passes

    def between(self, first: int, last: int) -> Part:
        """Return a function that runs the stages `first` to `last` - 1.

        Its arguments are the model and the values that cross into stage `first` (see `StageGraph.crossing`). It returns
        the values that cross into stage `last`.

        Raises:
            CannotCut: outside of the stages' modules, the code before stage `first` differs between training and
                evaluation.
        """
        before = [each.code(0, first).src for each in (self.evaluating, self.training)]
        if before[0] != before[1]:
            raise CannotCut("outside of its stages, its forward pass differs between training and evaluation")
        evaluate, train = (_function(each.code(first, last)) for each in (self.evaluating, self.training))
        return lambda model, *tensors: (train if model.training else evaluate)(model, *tensors)


class StageGraph:
    """A traced forward pass as a graph in which each node belongs to a stage.

    A module that lies within one stage is a single node of the graph. Only the code outside of such modules is traced.
    The modules are called unchanged, so they still behave differently in training and in evaluation. An operation
    outside of such modules belongs to the latest stage of its inputs.

    Example:
        A model computes `b(a(x) + 1)`. Module `a` is stage 0, and module `b` is stage 1. The nodes are `x`, `a`, `add`,
        `b` and `output`. `add` belongs to stage 0, because its input is the output of `a`. `crossing(1)` is `[add]`,
        and `code(1, 2)` is a function of the model and of the value of `add`; it calls `b`.

    Args:
        model: the model, in training or in evaluation mode.
        stages: see `Cut`.
        stage_of_parameter: see `Cut`.
        last: see `Cut`.
    """

    def __init__(
        self,
        model: nn.Module,
        stages: Mapping[nn.Module, frozenset[int]],
        stage_of_parameter: Mapping[str, int],
        last: int,
    ) -> None:
        class StageTracer(Tracer):
            def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
                return len(stages[m]) == 1

        _, *options = inspect.signature(model.forward).parameters.values()
        self.graph = StageTracer().trace(model, {each.name: each.default for each in options})
        modules = dict(model.named_modules())
        self._stage: dict[Node, int] = {}
        self._fed: set[Node] = set()
        for node in self.graph.nodes:
            own = -1
            if node.op == "call_module":
                own = max(stages[modules[node.target]])
            elif node.op == "get_attr":
                own = stage_of_parameter.get(node.target, -1)
            elif node.op == "output":
                own = last
            self._stage[node] = max([own, *(self._stage[each] for each in node.all_input_nodes)])
            if node.op == "placeholder" or not self._fed.isdisjoint(node.all_input_nodes):
                self._fed.add(node)

    def crossing(self, depth: int) -> list[Node]:
        """Return the values that the first `depth` stages compute and later stages read.

        Values that do not depend on the input, such as a table of positions, are left out. They are computed where they
        are used.
        """
        return [
            node
            for node in self.graph.nodes
            if node in self._fed
            and self._stage[node] < depth
            and any(self._stage[user] >= depth for user in node.users)
        ]

    def code(self, first: int, last: int) -> PythonCode:
        """Return the code of the stages `first` to `last` - 1, as a function of the model and of `crossing(first)`."""
        given, wanted = self.crossing(first), self.crossing(last)
        part = Graph()
        copies = {node: part.placeholder(node.name) for node in given}
        needed = set(_behind(wanted, set(given)))
        for node in self.graph.nodes:
            if node in needed and node not in copies:
                copies[node] = part.node_copy(node, copies.__getitem__)
        part.output(tuple(copies[node] for node in wanted))
        return part.python_code("self")


def _behind(nodes: list[Node], given: set[Node]) -> Iterator[Node]:
    """Yield the nodes and all nodes that they are computed from, back to the given nodes."""
    seen: set[Node] = set()
    ahead = list(nodes)
    while ahead:
        node = ahead.pop()
        if node not in seen:
            seen.add(node)
            yield node
            ahead += [] if node in given else node.all_input_nodes


def _function(code: PythonCode) -> Part:
    names: dict[str, Any] = dict(code.globals)
    exec(code.src, names)  # torch.fx runs its graphs in the same way
    return names["forward"]
