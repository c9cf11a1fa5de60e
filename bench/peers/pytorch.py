"""FM and IFM with PyTorch, for bench/peers/native.js. One thread.

Reads a folder: task.json, and tensors and rows as raw little-endian numbers. Then answers lines on standard input:
"train" and "predict" with a line of JSON, {"seconds": …, "loss": …}; scores are written to scores.f32.
"""

import json
import sys
import time
from pathlib import Path

import torch

torch.set_num_threads(1)
if hasattr(torch.sparse, "check_sparse_tensor_invariants"):  # since 2.0
    torch.sparse.check_sparse_tensor_invariants.disable()
folder = Path(sys.argv[1])
task = json.loads((folder / "task.json").read_text())


def read(name, dtype, *shape):
    return torch.frombuffer(bytearray((folder / name).read_bytes()), dtype=dtype).reshape(*shape)


config, rows, M, batch_size = task["config"], task["rows"], task["M"], task["batchSize"]
n, K, A, KF = config["features"], config["K"], config.get("A", 0), config.get("KF", 0)
ids = read("ids.i32", torch.int32, rows, M).long()
labels = read("labels.f32", torch.float32, rows)
left, right = torch.triu_indices(M, M, 1)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        tensor = lambda name, *shape: torch.nn.Parameter(read(name + ".f32", torch.float32, *shape))
        self.v = torch.nn.Embedding(n, K, sparse=True, _weight=tensor("feature_embeddings", n, K).data)
        self.w = torch.nn.Embedding(n, 1, sparse=True, _weight=tensor("feature_bias", n, 1).data)
        self.w0 = tensor("bias", 1)
        if config["model"] == "ifm":
            self.W = tensor("attention_W", K, A)
            self.b = tensor("attention_b", A)
            self.h = tensor("attention_p", A)
            self.U = tensor("interaction", M, KF)
            self.D = tensor("factor", KF, K)

    def forward(self, x):
        E = self.v(x)
        linear = self.w0 + self.w(x).sum((1, 2))
        if config["model"] == "fm":
            return linear + 0.5 * (E.sum(1) ** 2 - (E**2).sum(1)).sum(1)
        e = E[:, left] * E[:, right]
        F = (self.U[left] * self.U[right]) @ self.D
        T = torch.softmax(torch.relu(e @ self.W + self.b) @ self.h / config["temperature"], 1)
        return linear + (T * (e * F).sum(2)).sum(1)


model = Model()
optimizer = torch.optim.Adagrad(model.parameters(), lr=task["lr"], initial_accumulator_value=1e-8, eps=0)


def train():
    total = 0.0
    for at in range(0, rows, batch_size):
        optimizer.zero_grad()
        scores = model(ids[at : at + batch_size])
        loss = torch.nn.functional.softplus(-labels[at : at + batch_size] * scores).sum()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / rows


def predict():
    with torch.no_grad():
        return torch.cat([model(ids[at : at + batch_size]) for at in range(0, rows, batch_size)])


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    result = train() if line.strip() == "train" else predict().numpy()
    answer = {"seconds": time.perf_counter() - begin}
    if line.strip() == "train":
        answer["loss"] = result
    else:
        (folder / "scores.f32").write_bytes(result.tobytes())
    print(json.dumps(answer), flush=True)
