"""Cuts a model between its stages: from its traced forward pass, and with its own modules."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.fx import Graph, Node, Tracer
from torch.fx.graph import PythonCode

from landbridge.errors import LandbridgeError

#: Runs some stages of a backbone on all tensors that reach them.
Segment = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
#: The same, given the model and the tensors one by one.
Part = Callable[..., tuple[Tensor, ...]]


class CannotCut(LandbridgeError):  # noqa: N818 -- what it says, not what it is
    """A backbone cannot be run stage by stage."""


class Cut:
    """A model that can be run stage by stage.

    Args:
        model: takes one tensor, and gives one.
        stages: by module, the stages that it has parameters of, or that it follows.
        stage_of_parameter: by the parameter's name.
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
        except Exception as error:  # torch.fx raises whatever a forward pass makes of its proxies
            raise CannotCut(f"its forward pass cannot be traced ({error})") from error
        finally:
            for module, training in modes.items():
                module.training = training
        self.evaluating, self.training = passes

    def between(self, first: int, last: int) -> Part:
        """Return a function of the model and of what crosses at `first`, which returns what crosses at `last`.

        Raises:
            CannotCut: what comes before differs between training and evaluation, outside of all stages.
        """
        before = [each.code(0, first).src for each in (self.evaluating, self.training)]
        if before[0] != before[1]:
            raise CannotCut("outside of its stages, its forward pass differs between training and evaluation")
        evaluate, train = (_function(each.code(first, last)) for each in (self.evaluating, self.training))
        return lambda model, *tensors: (train if model.training else evaluate)(model, *tensors)


class StageGraph:
    """A forward pass as a graph whose nodes belong to stages.

    Whatever lies within one stage is a single node, so that only the outermost forward pass is traced: what modules do
    inside a stage, in training and in evaluation, stays their own business. An operation outside of all modules belongs
    to the stage of what it works on.

    Args:
        model: in training or in evaluation.
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
        """Return the values that cross from the first `depth` stages to the later ones.

        What depends on no input, such as a table of positions, does not cross: it is computed where it is used.
        """
        return [
            node
            for node in self.graph.nodes
            if node in self._fed
            and self._stage[node] < depth
            and any(self._stage[user] >= depth for user in node.users)
        ]

    def code(self, first: int, last: int) -> PythonCode:
        """Return the code of some stages, as a function of the model and of what crosses at `first`."""
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
    """Yield the nodes and all that they are computed from, back to what is given."""
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
    exec(code.src, names)  # torch.fx runs its graphs in this very way
    return names["forward"]
