// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A picture of each view, for docs/cockpit/ and for whoever changes how the page looks.
export async function takeScreenshots() {
    return Promise.resolve();
}
