"""The words that generated photos are made of: what stands on invoices, menus, signs, slides, labels and in chats."""

# ruff: noqa: E501, SIM905 - lists of words read best as lines of words

CITIES = "北京 上海 广州 深圳 杭州 南京 苏州 成都 重庆 武汉 西安 天津 青岛 大连 厦门 长沙 郑州 昆明 哈尔滨 沈阳 济南 福州 合肥 宁波 无锡 拉萨 桂林 三亚 珠海 兰州".split()
STREETS = "中山路 人民路 解放大道 南京西路 建国门外大街 长安街 淮海中路 文化路 和平街 新华路 滨江大道 科技园路 学院路 湖滨路 延安东路 北四环西路".split()
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧"
GIVEN = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲华红玉建国婷雪欣宇浩然子涵梓萱诗琪"
TRADES = "餐饮 科技 贸易 文化传媒 建筑工程 电子商务 物流 医药 教育咨询 服装 食品 汽车服务 房地产 广告 软件 旅游 农业开发 金属制品 环保设备 酒店管理".split()
BRANDS = "华兴 金龙 天成 瑞丰 宏达 永辉 鼎盛 新世纪 蓝天 德胜 万通 嘉禾 同仁 百川 联创 博雅 星光 恒信 祥云 东方".split()
ITEMS = "办公用品 打印纸 笔记本电脑 显示器 键盘 鼠标 硬盘 咖啡豆 矿泉水 牛奶 面包 鸡蛋 大米 食用油 洗衣液 纸巾 牙膏 毛巾 雨伞 充电器 数据线 耳机 手机壳 书包 铅笔 橡皮 台灯 电池 插座 灯泡 苹果 香蕉 葡萄 西瓜 草莓 土豆 西红柿 黄瓜 白菜 猪肉 牛肉 鸡翅 三文鱼 虾仁 豆腐 酱油 食盐 白糖 绿茶 红酒".split()
DISHES = "宫保鸡丁 麻婆豆腐 红烧肉 清蒸鲈鱼 酸菜鱼 水煮牛肉 回锅肉 鱼香肉丝 糖醋排骨 北京烤鸭 小笼包 扬州炒饭 兰州拉面 担担面 酸辣汤 紫菜蛋花汤 凉拌黄瓜 口水鸡 夫妻肺片 蒜蓉西兰花 干煸四季豆 地三鲜 东坡肉 梅菜扣肉 白切鸡 叉烧饭 虾饺 肠粉 皮蛋瘦肉粥 豆浆 油条 煎饼果子 羊肉串 火锅底料 毛肚 冰粉 绿豆糕 杨枝甘露 珍珠奶茶 酸梅汤".split()
MEDICINES = "阿莫西林胶囊 布洛芬缓释片 感冒灵颗粒 板蓝根颗粒 维生素C片 头孢克肟分散片 氯雷他定片 奥美拉唑肠溶胶囊 蒙脱石散 藿香正气水 云南白药气雾剂 硝苯地平控释片".split()
SUBJECTS = "高等数学 线性代数 大学物理 有机化学 数据结构 操作系统 计算机网络 人工智能导论 机器学习 概率论 宏观经济学 世界历史 中国文学 市场营销 财务管理 项目管理 用户体验设计 数据库原理".split()
NOTICES = "禁止停车 小心地滑 安全出口 请勿吸烟 当心触电 游客止步 消防通道 禁止通行 注意安全 闲人免进 洗手间 出口 入口 停车场 服务台 售票处 候车室 电梯 楼梯 母婴室 无障碍通道 内有恶犬 前方施工 减速慢行 单行道 急诊室 挂号处 药房 图书馆 体育馆".split()
PLACES = "故宫博物院 颐和园 外滩 西湖 兵马俑 黄山 张家界 九寨沟 鼓浪屿 海洋公园 动物园 植物园 科技馆 美术馆 火车站 机场 地铁站 大剧院 体育中心 步行街".split()
CHAT = "今天晚上一起吃饭吗|我已经到楼下了|明天早上九点开会|快递放在门口了|生日快乐|周末去爬山怎么样|文件已经发到你邮箱|记得带身份证|孩子放学了吗|路上堵车晚点到|收到谢谢|帮我买一杯咖啡|医生说多喝水休息|机票已经订好了|房东说下个月涨租|这个方案客户不同意|照片拍得真好看|密码是多少|我在地铁上信号不好|考试成绩出来了|车位在负二层|钥匙在花盆下面|外卖到了下来拿|晚安早点睡".split(
    "|"
)
COMMON = "时间 问题 社会 国家 发展 经济 工作 学生 技术 世界 生活 方法 公司 市场 管理 文化 教育 历史 科学 系统 研究 信息 情况 关系 环境 能力 政府 企业 产品 服务 资源 农业 工业 城市 农村 人口 健康 安全 法律 制度 政策 计划 目标 结果 过程 水平 质量 数量 价格 收入 成本 利润 投资 银行 货币 贸易 交通 能源 材料 设备 机器 软件 网络 数据 模型 理论 实验 观察 分析 设计 生产 销售 消费 需求 供给 竞争 合作 创新 改革 传统 现代 艺术 音乐 电影 小说 诗歌 语言 文字 思想 精神 感情 家庭 父母 孩子 朋友 老师 同学 同事 领导 医生 病人 身体 心理 运动 比赛 旅行 风景 天气 春天 夏天 秋天 冬天 早晨 夜晚 太阳 月亮 星星 天空 大海 河流 山脉 森林 草原 沙漠 动物 植物 花朵 树木 空气 温度 压力 速度 方向 距离 重量 颜色 声音 光线 形状 结构 功能 作用 影响 变化 原因 条件 机会 困难 任务 责任 权利 自由 和平 战争 军队 武器 边界 民族 宗教 节日 习惯 礼物 食物 衣服 房子 道路 桥梁 汽车 飞机 轮船 火车 邮局 商店 医院 学校 公园 广场 办公 会议 报告 文件 合同 签名 日期 地址 电话 邮件 图片 视频 新闻 报纸 杂志 广告 节目 表演 观众 演员 导演 作者 读者 主题 内容 形式 风格 标准 原则 意见 建议 决定 选择 行动 成功 失败 经验 教训 希望 梦想 未来 过去 现在".split()
VERBS = "研究 提高 发现 认为 需要 影响 改变 保护 建立 利用 解决 促进 加强 实现 完成 开始 继续 支持 参加 组织 介绍 说明 证明 表示 考虑 选择 获得 提供 使用 创造".split()
ENGLISH_TITLES = "Invoice|Receipt|Boarding Pass|Statement of Account|Meeting Minutes|Project Roadmap|Quarterly Report|Certificate of Completion|Wine List|Breakfast Menu|Rental Agreement|Packing List|Warranty Card|Press Release|Conference Program|Medical Report|Recipe Book|Travel Itinerary|User Manual|Safety Instructions".split(
    "|"
)
ENGLISH = "payment total amount customer account balance delivery address signature manager department budget schedule deadline document contract agreement insurance hospital university engineer analysis software hardware database network security password coffee chicken vegetable chocolate strawberry sandwich restaurant airport departure arrival terminal passenger luggage boarding reservation confirmation telephone electronic temperature pressure capacity voltage battery adapter warranty serial number product quality inspection certificate shipping warehouse package fragile recycle organic ingredients calories protein vitamin mineral sodium water sugar butter cheese orange banana mountain river garden bicycle station platform ticket museum gallery exhibition concert orchestra theatre library newspaper magazine photograph camera printer keyboard monitor notebook envelope calendar meeting conference presentation strategy marketing revenue profit investment research laboratory experiment chemistry physics biology mathematics geography literature philosophy psychology architecture furniture kitchen bedroom bathroom apartment building elevator parking entrance emergency".split()
PRODUCTS = "iPhone15 ThinkPadX1 RTX4090 Kindle10 PS5Pro MateBook14 GoPro12 EOS-R6 AirPods3 Redmi13C Switch2 Model3 XC60 CR2032 USB3.2 SSD970 WH1000 R730".split()

CONFUSED = {
    "未": "末", "末": "未", "土": "士", "士": "土", "己": "已", "日": "曰", "人": "入", "入": "人", "大": "太", "太": "大", "天": "夭", "千": "干", "于": "干",
    "水": "永", "木": "本", "本": "木", "子": "孑", "王": "玉", "玉": "王", "间": "问", "问": "间", "具": "貝", "折": "拆", "拆": "折", "候": "侯", "票": "栗",
    "发": "犮", "金": "全", "全": "金", "贝": "见", "见": "贝", "白": "自", "自": "白", "鸟": "乌", "晴": "睛", "快": "块", "块": "快", "狼": "狠", "今": "令",
    "0": "O", "O": "0", "1": "l", "l": "1", "5": "S", "S": "5", "8": "B", "B": "8", "2": "Z", "6": "G", "m": "rn", "h": "b", "e": "c", "c": "e", "i": "l", "n": "r", "t": "f", "u": "v", "a": "o", "3": "8", "9": "g", "7": "1", "4": "A",
}  # fmt: skip
"""What OCR reads instead of a character, where it does not read something at random."""

CONCEPTS = "beach mountain dog cat sunset snow flower car bicycle child wedding concert food coffee hotpot noodles cake fruit street night-city train airplane boat bridge temple museum-hall lake forest sheep horse bird fish baby portrait group-photo football basketball swimming skiing fireworks rainbow office classroom computer book-shelf garden kitchen bedroom shop market map-on-wall whiteboard invoice-paper receipt-paper screenshot slide label sign menu-board ticket".split()
"""What photos show; the last ten go with kinds of photos that hold text."""

SHOWN_AND_WRITTEN = {"咖啡": "coffee", "火锅": "hotpot", "草莓": "fruit", "动物园": "horse", "海洋公园": "fish", "机场": "airplane", "火车站": "train", "停车场": "car", "图书馆": "book-shelf", "植物园": "garden", "美术馆": "museum-hall", "西湖": "lake", "黄山": "mountain", "面包": "cake", "体育馆": "basketball"}  # fmt: skip
"""Words that some photos show, others only say."""
