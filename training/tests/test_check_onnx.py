"""The checker accepts a valid file and names the problems of others."""

import onnx
import pytest
from onnx import TensorProto, helper

from training.check_onnx import problems


def value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(nodes, functions=(), domains=("", "ai.altup"), output_shape=(2, 3)):
    graph = helper.make_graph(nodes, "graph", [value("x", (2, 3))], [value("y", output_shape)])
    opsets = [helper.make_opsetid(domain, 21 if domain == "" else 1) for domain in domains]
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10)


def altup_function(body=None):
    body = body or helper.make_node("Add", ["x", "x"], ["y"])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_function("ai.altup", "Twice", ["x"], ["y"], [body], opsets)


def check(tmp_path, proto):
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    return problems(path)


def test_sound_model(tmp_path):
    node = helper.make_node("Twice", ["x"], ["y"], domain="ai.altup")
    found, foreign = check(tmp_path, model([node], [altup_function()]))
    assert found == [] and not foreign


def test_microsoft_operators_are_counted_as_unchecked(tmp_path):
    node = helper.make_node("BiasGelu", ["x", "x"], ["y"], domain="com.microsoft")
    found, foreign = check(tmp_path, model([node], domains=("", "com.microsoft")))
    assert found == [] and foreign == {"com.microsoft": 1}


def test_microsoft_operators_in_function_bodies_are_counted_by_call(tmp_path):
    calls = [helper.make_node("Twice", ["x"], [name], domain="ai.altup") for name in ("a", "b")]
    body = helper.make_node("BiasGelu", ["x", "x"], ["y"], domain="com.microsoft")
    domains = ("", "ai.altup", "com.microsoft")
    sum_of_calls = helper.make_node("Add", ["a", "b"], ["y"])
    found, foreign = check(tmp_path, model([*calls, sum_of_calls], [altup_function(body)], domains))
    assert found == [] and foreign == {"com.microsoft": 2}


def test_missing_function_body(tmp_path):
    node = helper.make_node("Twice", ["x"], ["y"], domain="ai.altup")
    found, _ = check(tmp_path, model([node]))
    assert any("ai.altup.Twice" in line and "function body" in line for line in found)


@pytest.mark.parametrize(
    "proto",
    [
        model([helper.make_node("Relu", ["nowhere"], ["y"])]),
        model([helper.make_node("NoSuchOperator", ["x"], ["y"])]),
        model([helper.make_node("Relu", ["x"], ["y"])], output_shape=(2, 4)),
    ],
    ids=["unknown input", "unknown operator", "wrong shape"],
)
def test_broken_models_are_refused(tmp_path, proto):
    found, _ = check(tmp_path, proto)
    assert found


def test_unreadable_file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    found, _ = problems(path)
    assert found
