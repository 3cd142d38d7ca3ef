# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a document of the Container Device Interface must be, of version 0.5.0, in our own words and as strict as the
specification's text: https://github.com/cncf-tags/container-device-interface, SPEC.md, "CDI JSON Specification"."""

SCHEMA = {
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "required": ["cdiVersion", "kind", "devices"],
  "additionalProperties": False,
  "properties": {
    "cdiVersion": {"const": "0.5.0"},
    "kind": {"type": "string", "pattern": "^[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?$"},
    "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    "containerEdits": {"$ref": "#/definitions/edits"},
    "devices": {
      "type": "array",
      "minItems": 1,
      "items": {
        "type": "object",
        "required": ["name", "containerEdits"],
        "additionalProperties": False,
        "properties": {
          "name": {"type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$"},
          "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
          "containerEdits": {"$ref": "#/definitions/edits"}
        }
      }
    }
  },
  "definitions": {
    "edits": {
      "type": "object",
      "minProperties": 1,
      "additionalProperties": False,
      "properties": {
        "env": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+=.*$"}},
        "deviceNodes": {
          "type": "array",
          "minItems": 1,
          "uniqueItems": True,
          "items": {
            "type": "object",
            "required": ["path"],
            "additionalProperties": False,
            "properties": {
              "path": {"type": "string", "pattern": "^/dev/[^/]"},
              "hostPath": {"type": "string", "pattern": "^/"},
              "type": {"enum": ["b", "c", "u", "p"]},
              "major": {"type": "integer"},
              "minor": {"type": "integer"},
              "fileMode": {"type": "integer"},
              "permissions": {"type": "string", "pattern": "^[rwm]{1,3}$"},
              "uid": {"type": "integer", "minimum": 0},
              "gid": {"type": "integer", "minimum": 0}
            }
          }
        },
        "mounts": {
          "type": "array",
          "items": {"type": "object", "required": ["hostPath", "containerPath"]}
        },
        "hooks": {
          "type": "array",
          "items": {"type": "object", "required": ["hookName", "path"]}
        }
      }
    }
  }
}
