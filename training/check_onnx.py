"""Checks ONNX files with the onnx package, which shares no code with the exporter.

    python -m training.check_onnx models/x/onnx/fp32/decoder.onnx ...

For each file it runs the structural check of onnx.checker, and shape inference in strict mode over
every operator of the ONNX standard. Each `ai.altup` operator must have a function body in the file.
Operators of `com.microsoft` belong to ONNX Runtime: the checker has no schema for them, so it does
not check their attributes and shapes, and the report says how many there are.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import inliner

STANDARD_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
OUR_DOMAIN = "ai.altup"


def nodes_of(nodes) -> Iterator[onnx.NodeProto]:
    """All nodes, including those inside If, Loop and Scan."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from nodes_of(graph.node)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from nodes_of(model.graph.node)
    for function in model.functions:
        yield from nodes_of(function.node)


def is_foreign(node: onnx.NodeProto) -> bool:
    return node.domain not in STANDARD_DOMAINS | {OUR_DOMAIN}


def without_foreign_bodies(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each function inlined that uses operators without a schema in its body.

    Inference skips such an operator in the graph, but reports the outputs of a function that
    contains one as mistakes.
    """
    names = [(f.domain, f.name) for f in model.functions if any(map(is_foreign, nodes_of(f.node)))]
    return inliner.inline_selected_functions(model, names) if names else model


def problems(path: Path) -> tuple[list[str], Counter]:
    """The problems found in the file, and the number of nodes with schemaless operators, by domain."""
    try:
        # Called with the path, so that it also finds and checks external data next to the file.
        onnx.checker.check_model(str(path), full_check=False)
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # The checker and the protobuf reader raise several types.
        return [f"{type(error).__name__}: {error}"], Counter()

    found = []
    bodies = {(function.domain, function.name) for function in model.functions}
    opsets = {opset.domain for opset in model.opset_import}
    operators = {(node.domain, node.op_type) for node in all_nodes(model)}
    for domain, name in sorted(operators):
        if domain == OUR_DOMAIN and (domain, name) not in bodies:
            found.append(f"{domain}.{name} is used but has no function body in the file")
    for domain in sorted({domain for domain, _ in operators} - opsets - {"", "ai.onnx"}):
        found.append(f"domain {domain} is used but not imported")
    model = without_foreign_bodies(model)
    foreign = Counter(node.domain for node in all_nodes(model) if is_foreign(node))
    try:
        # Strict inference stops at the first mistake, but skips operators without a schema.
        onnx.shape_inference.infer_shapes(model, check_type=not foreign, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        found.append(f"shape inference: {error}")
    return found, foreign


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="file.onnx")
    failed = 0
    for path in parser.parse_args().files:
        found, foreign = problems(path)
        failed += bool(found)
        print(f"{path}: {'FAILED' if found else 'ok'}")
        for problem in found:
            print(f"  {problem}")
        for domain, count in sorted(foreign.items()):
            print(f"  not checked: {count} nodes of {domain}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
