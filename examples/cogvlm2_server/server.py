"""CogVLM2-Caption as an OpenAI-compatible server. It runs the model's own code: see README.md."""

import json
import sys
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, HTTPServer

import torch
from torchvision.io import decode_jpeg
from transformers import AutoModelForCausalLM, AutoTokenizer


class Handler(BaseHTTPRequestHandler):  # noqa: D101
    def do_GET(self):
        self.answer(200, {"object": "list", "data": [{"id": self.server.name}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.answer(200, {"model": self.server.name, "choices": [self.caption(**asked)]})
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            self.answer(400, {"error": {"message": f"{type(error).__name__}: {error}"}})

    def caption(self, messages, max_tokens=512, **_):
        (model, tokenizer), parts = self.server.loaded, messages[-1]["content"]
        data = [part["image_url"]["url"].partition(",")[2] for part in parts if "image_url" in part]
        files = [torch.tensor([*b64decode(one)], dtype=torch.uint8) for one in data]
        video = torch.stack([decode_jpeg(file) for file in files], dim=1)
        asked = {"query": parts[-1]["text"], "history": [], "template_version": "chat"}
        made = model.build_conversation_input_ids(tokenizer, images=[video], **asked)
        names = ("input_ids", "token_type_ids", "attention_mask")
        inputs = {name: made[name][None].to(model.device) for name in names}
        inputs["images"] = [[made["images"][0].to(model.device, model.dtype)]]
        greedy = {"max_new_tokens": max_tokens, "do_sample": False, "pad_token_id": 128002}
        said = model.generate(**inputs, **greedy)[0, inputs["input_ids"].shape[1] :]
        message = {"role": "assistant", "content": tokenizer.decode(said, skip_special_tokens=True)}
        return {"message": message, "finish_reason": ("stop", "length")[len(said) == max_tokens]}

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


if __name__ == "__main__":
    path, code = sys.argv[1], {"trust_remote_code": True}
    model = AutoModelForCausalLM.from_pretrained(path, torch_dtype=torch.bfloat16, **code)
    server = HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
    server.loaded = model.eval().to("cuda"), AutoTokenizer.from_pretrained(path, **code)
    server.name = path
    server.serve_forever()
