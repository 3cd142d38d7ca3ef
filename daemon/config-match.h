/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config match: the part of a file that says which GPUs it is about.
 */

#include "config-yaml.h"

/* Fills match, which has the defaults, from a mapping that is called name. As the readers of config-field.h return. */
int config_read_match(ConfigReader *reader, const char *name, const ConfigItem *item, ProfileMatch *match);
