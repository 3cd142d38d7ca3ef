// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Those components of PatternFly that the page uses, each by its own file: the index of the library would bring the style
// sheets of all of them.

export { Alert } from "@patternfly/react-core/dist/esm/components/Alert/Alert";
export { AlertActionCloseButton } from "@patternfly/react-core/dist/esm/components/Alert/AlertActionCloseButton";
export { Button } from "@patternfly/react-core/dist/esm/components/Button/Button";
export { Card } from "@patternfly/react-core/dist/esm/components/Card/Card";
export { CardBody } from "@patternfly/react-core/dist/esm/components/Card/CardBody";
export { CardHeader } from "@patternfly/react-core/dist/esm/components/Card/CardHeader";
export { CardTitle } from "@patternfly/react-core/dist/esm/components/Card/CardTitle";
export { Checkbox } from "@patternfly/react-core/dist/esm/components/Checkbox/Checkbox";
export { DescriptionList } from "@patternfly/react-core/dist/esm/components/DescriptionList/DescriptionList";
export { DescriptionListDescription } from "@patternfly/react-core/dist/esm/components/DescriptionList/DescriptionListDescription";
export { DescriptionListGroup } from "@patternfly/react-core/dist/esm/components/DescriptionList/DescriptionListGroup";
export { DescriptionListTerm } from "@patternfly/react-core/dist/esm/components/DescriptionList/DescriptionListTerm";
export { EmptyState } from "@patternfly/react-core/dist/esm/components/EmptyState/EmptyState";
export { EmptyStateActions } from "@patternfly/react-core/dist/esm/components/EmptyState/EmptyStateActions";
export { EmptyStateBody } from "@patternfly/react-core/dist/esm/components/EmptyState/EmptyStateBody";
export { EmptyStateFooter } from "@patternfly/react-core/dist/esm/components/EmptyState/EmptyStateFooter";
export { Form } from "@patternfly/react-core/dist/esm/components/Form/Form";
export { FormGroup } from "@patternfly/react-core/dist/esm/components/Form/FormGroup";
export { FormHelperText } from "@patternfly/react-core/dist/esm/components/Form/FormHelperText";
export { FormSelect } from "@patternfly/react-core/dist/esm/components/FormSelect/FormSelect";
export { FormSelectOption } from "@patternfly/react-core/dist/esm/components/FormSelect/FormSelectOption";
export { HelperText } from "@patternfly/react-core/dist/esm/components/HelperText/HelperText";
export { HelperTextItem } from "@patternfly/react-core/dist/esm/components/HelperText/HelperTextItem";
export { Label } from "@patternfly/react-core/dist/esm/components/Label/Label";
export { Modal } from "@patternfly/react-core/dist/esm/components/Modal/Modal";
export { ModalBody } from "@patternfly/react-core/dist/esm/components/Modal/ModalBody";
export { ModalFooter } from "@patternfly/react-core/dist/esm/components/Modal/ModalFooter";
export { ModalHeader } from "@patternfly/react-core/dist/esm/components/Modal/ModalHeader";
export { Progress } from "@patternfly/react-core/dist/esm/components/Progress/Progress";
export { Radio } from "@patternfly/react-core/dist/esm/components/Radio/Radio";
export { Spinner } from "@patternfly/react-core/dist/esm/components/Spinner/Spinner";
export { TextArea } from "@patternfly/react-core/dist/esm/components/TextArea/TextArea";
export { TextInput } from "@patternfly/react-core/dist/esm/components/TextInput/TextInput";

// Of these the style sheets alone: PatternFly's own components bring menus and tooltips that nobody would see here.
export { default as tableStyles } from "@patternfly/react-styles/css/components/Table/table";
export { default as tableGridStyles } from "@patternfly/react-styles/css/components/Table/table-grid";
export { default as tabsStyles } from "@patternfly/react-styles/css/components/Tabs/tabs";
export { default as codeBlockStyles } from "@patternfly/react-styles/css/components/CodeBlock/code-block";

export { default as CheckIcon } from "@patternfly/react-icons/dist/esm/icons/check-icon";
export { default as CopyIcon } from "@patternfly/react-icons/dist/esm/icons/copy-icon";
export { default as AngleDownIcon } from "@patternfly/react-icons/dist/esm/icons/angle-down-icon";
export { default as AngleRightIcon } from "@patternfly/react-icons/dist/esm/icons/angle-right-icon";
export { default as ArrowsAltVIcon } from "@patternfly/react-icons/dist/esm/icons/arrows-alt-v-icon";
export { default as LongArrowAltDownIcon } from "@patternfly/react-icons/dist/esm/icons/long-arrow-alt-down-icon";
export { default as LongArrowAltUpIcon } from "@patternfly/react-icons/dist/esm/icons/long-arrow-alt-up-icon";
export { default as MicrochipIcon } from "@patternfly/react-icons/dist/esm/icons/microchip-icon";
export { default as LockIcon } from "@patternfly/react-icons/dist/esm/icons/lock-icon";
export { default as PowerOffIcon } from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
export { default as SearchIcon } from "@patternfly/react-icons/dist/esm/icons/search-icon";
export { default as ExclamationCircleIcon } from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
export { default as UnpluggedIcon } from "@patternfly/react-icons/dist/esm/icons/unplugged-icon";
export { default as LayerGroupIcon } from "@patternfly/react-icons/dist/esm/icons/layer-group-icon";
export { default as CheckCircleIcon } from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
