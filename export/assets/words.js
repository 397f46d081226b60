"use strict";
/* What the page says, in English and Chinese; {0} and so on are values. The reader's sentences are those of reader/ntu_reader.py. */
const TEXTS = {
  en: {
    title: "Which action is it?", lead: "A network names what people do, from the motion of their joints alone. It runs on this machine: nothing is sent anywhere.",
    other: "中文", dark: "Dark", light: "Light", choose: "Choose recordings", drop: "or drop .skeleton or .npy files anywhere on this page", sample: "Try a sample", sampleName: "sample",
    starting: "The network is being started …", busy: "Recognising: {0} of {1} done …", done: "Recordings: {0}. Time: {1} s.", ready: "Ready.",
    list: "Recordings", stage: "Skeleton of {0}, {1}", frame: "frame {0} of {1}", play: "Play", pause: "Pause", speed: "Speed", front: "Front view", nobody: "nobody in this frame",
    drag: "Drag to turn.", keys: "Keys: space plays, arrows turn, comma and full stop step, brackets change the recording.", line: "What happens when", scrub: "Frame",
    answer: "Five most probable actions", whole: "the whole recording", part: "seconds {0} to {1}", long: "{0} s", who: "Of", both: "all bodies", body: "body {0}",
    window: "Longer than {0} frames: windows of {1} s, one each {2} s.", certain: "It knows {0} actions and names one of them whatever it is shown.",
    tiny: "Smaller than any person: looks like normalised coordinates; the network takes metres.", centimetres: "Larger than any person: looks like centimetres; the network takes metres (divide by 100).",
    millimetres: "Larger than any person: looks like millimetres; the network takes metres (divide by 1000).",
    about: "About this page", network: "Network", dataset: "Trained for", checkpoint: "Checkpoint", takes: "It takes", shape: "{0} joints in {1}D, {2} frames at 30 a second", turned: ", turned to the front", licence: "Licence",
    limits: "Limits", limited: "It was trained on one data set: what people do elsewhere, before other cameras, it names less well. Not for deciding about people.", private: "Private", privacy: "Recordings stay on this machine. This page forbids itself every connection (its content security policy), and works without a network.", size: "is {0} MB large; at most {1} MB are read",
    foreign: "the file is {0}; {1}", ends: "the file ends where the line '{0}' should stand", fields: "the line '{0}' has {1} fields instead of {2}",
    number: "'{0}' in the line '{1}' is not a number", large: "the line '{0}' has a number too large to hold", whole_number: "the {0} is {1}, not a whole number", allowed: "the {0} is {1}; allowed: {2}", far: "joint {0} has a coordinate of {1} m", more: "the file goes on after its last frame",
    nobodyAtAll: "holds no body in any frame", npy: "is not an array of float32 (C, T, V, M) or (N, C, T, V, M)", kind: "is neither a .skeleton nor a .npy file", misfit: "is of another skeleton: {0} joints in {1}D; this network takes {2} joints in {3}D", finite: "holds values that are not finite",
    failed: "can't be read here ({0})", fatal: "The network can't be started in this browser ({0}). A newer one should do: Chrome, Edge, Firefox or Safari of the last years.", at: "line {0}: {1}",
  },
  zh: {
    title: "这是什么动作？", lead: "网络仅凭人体关节的运动识别动作。它在本机运行：不向任何地方发送数据。",
    other: "English", dark: "深色", light: "浅色", choose: "选择文件", drop: "或将 .skeleton 或 .npy 文件拖到本页任意位置", sample: "试用示例", sampleName: "示例",
    starting: "正在启动网络……", busy: "正在识别：已完成 {0} / {1}……", done: "文件：{0} 个，用时 {1} 秒。", ready: "就绪。",
    list: "文件", stage: "{0} 的骨架，{1}", frame: "第 {0} 帧，共 {1} 帧", play: "播放", pause: "暂停", speed: "速度", front: "正面", nobody: "此帧中没有人",
    drag: "拖动可旋转。", keys: "按键：空格播放，方向键旋转，逗号和句号逐帧，方括号切换文件。", line: "时间线", scrub: "帧",
    answer: "最可能的五个动作", whole: "整段", part: "{0} 至 {1} 秒", long: "{0} 秒", who: "对象", both: "所有人", body: "人 {0}",
    window: "超过 {0} 帧：按 {1} 秒的窗口识别，每 {2} 秒一次。", certain: "网络认识 {0} 个动作；无论输入什么，都会给出其中之一。",
    tiny: "比任何人都小：似为归一化坐标；网络需要以米为单位的坐标。", centimetres: "比任何人都大：似以厘米为单位；网络需要以米为单位（除以 100）。", millimetres: "比任何人都大：似以毫米为单位；网络需要以米为单位（除以 1000）。",
    about: "关于本页", network: "网络", dataset: "训练数据", checkpoint: "权重", takes: "输入", shape: "{0} 个关节，{1}D，{2} 帧，每秒 30 帧", turned: "，转到正面", licence: "许可",
    limits: "局限", limited: "网络只在一个数据集上训练：其他场景、其他相机下的识别效果较差。不可用于对人作出决定。", private: "隐私", privacy: "文件不会离开本机。本页的内容安全策略禁止一切连接，无需网络即可使用。", size: "大小为 {0} MB；最多读取 {1} MB",
    foreign: "文件不是骨架文本（{0}; {1}）", ends: "文件在应有 '{0}' 行的地方结束", fields: "'{0}' 行有 {1} 个字段，应有 {2} 个",
    number: "'{1}' 行中的 '{0}' 不是数字", large: "'{0}' 行中有过大的数字", whole_number: "{0} 为 {1}，不是整数", allowed: "{0} 为 {1}；允许：{2}", far: "关节 {0} 的坐标为 {1} 米", more: "最后一帧之后还有内容",
    nobodyAtAll: "所有帧中都没有人", npy: "不是 float32 数组 (C, T, V, M) 或 (N, C, T, V, M)", kind: "既不是 .skeleton 文件，也不是 .npy 文件", misfit: "属于另一种骨架：{0} 个关节，{1}D；本网络需要 {2} 个关节，{3}D", finite: "含有非有限的数值",
    failed: "无法在此读取（{0}）", fatal: "网络无法在此浏览器中启动（{0}）。请使用近年的 Chrome、Edge、Firefox 或 Safari。", at: "第 {0} 行：{1}",
  },
};
let language = "en";
const say = (key, ...values) => TEXTS[language][key].replace(/\{(\d)\}/g, (_, i) => values[i]);
/** A Refusal's sentence. */
const reason = ({ key, values, line }) => line === null ? say(key, ...values) : say("at", line, say(key, ...values));
