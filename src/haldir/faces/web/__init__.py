"""The web face: what people see and decide in a browser. Every page is whole without a script; scripts keep it live."""
